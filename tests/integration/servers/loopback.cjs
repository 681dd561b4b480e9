// Loaded before a server that listens on every address and asks for its own updates: whatever it listens on is on
// loopback, and it reaches nothing else.
const { Server, Socket } = require('node:net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  if (typeof port === 'object' && port !== null && 'port' in port) return listen.call(this, { ...port, host: '127.0.0.1' }, ...rest);
  if (typeof port === 'number' || /^\d+$/.test(String(port))) {
    if (typeof rest[0] === 'string') rest.shift();
    return listen.call(this, Number(port), '127.0.0.1', ...rest);
  }
  return listen.call(this, port, ...rest);
};
const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...given) {
  const [first, second] = Array.isArray(given[0]) ? given[0] : given;
  const host = typeof first === 'object' && first !== null ? first.host : typeof second === 'string' ? second : undefined;
  if (host !== undefined && !/^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host)) {
    process.nextTick(() => this.destroy(new Error(`${host} is not on this machine`)));
    return this;
  }
  return connect.apply(this, given);
};
