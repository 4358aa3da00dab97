"""How a broker's parts are put together."""
