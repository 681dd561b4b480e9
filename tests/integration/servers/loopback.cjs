// Loaded before a server that listens on every address: whatever it listens on is on loopback.
const { Server } = require('node:net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  if (typeof port === 'object' && port !== null && 'port' in port) return listen.call(this, { ...port, host: '127.0.0.1' }, ...rest);
  if (typeof port === 'number' || /^\d+$/.test(String(port))) {
    if (typeof rest[0] === 'string') rest.shift();
    return listen.call(this, Number(port), '127.0.0.1', ...rest);
  }
  return listen.call(this, port, ...rest);
};
