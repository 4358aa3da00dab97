"""AWS Lambda's event source mappings as a program that you own."""
