// For `node --require`: servers that name no host listen on the loopback interface only.
const net = require("node:net");

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, ...rest) {
  const isOpenToAll = typeof port === "number" && typeof rest[0] !== "string";
  return listen.call(this, port, ...(isOpenToAll ? ["127.0.0.1", ...rest] : rest));
};
