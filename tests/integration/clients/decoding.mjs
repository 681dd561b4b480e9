// Messages of `iris.v1+protobuf`, read by `protobufjs` from the schema itself.

/** A function from bytes and the epoch to the message as JSON has it, as far as positions, types and ids go. */
export function decoder(protobuf, schema) {
  const Envelope = protobuf.parse(schema, { keepCase: true }).root.lookupType('iris.v1.Envelope');
  return (bytes, epoch) => asJson(Envelope.toObject(Envelope.decode(bytes), { oneofs: true, longs: Number }), epoch);
}

function asJson(envelope, epoch) {
  const { payload: type, position, seq, replay, priority } = envelope;
  if (type === 'batch') return { type, messages: envelope.batch.messages.map((each) => asJson(each, epoch)) };
  const body = envelope[type];
  const data = Object.fromEntries(Object.entries(body).map(([name, part]) => [name, part.items ?? part]));
  if (type === 'subscribed') Object.assign(data, camel(data.options));
  return {
    type,
    ...(position !== undefined && { id: `${epoch}-${position}` }),
    ...(seq !== undefined && { seq }),
    ...(replay && { replay }),
    ...(priority && { priority: 'high' }),
    ...(type === 'error' ? { error: data } : { data }),
  };
}

/** Names of the options as JSON has them. */
function camel(options) {
  if (typeof options !== 'object' || Array.isArray(options)) return options;
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name.replace(/_(.)/g, (_, c) => c.toUpperCase()), camel(value)]));
}
