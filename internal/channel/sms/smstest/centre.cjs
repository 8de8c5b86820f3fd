// A message centre made of the npm package smpp, which shares nothing with the
// client that is tested. It says what happens as JSON lines and takes orders as
// JSON lines:
//   {"do":"behave","submit":"ok"|"hang"|"cut"|STATUS,"times":N,"after":N,"bind":STATUS}   only so often, and after so many that go well
//   {"do":"deliver","from","to","text","coding"}   somebody writes; "data" in hexadecimal in place of "text",
//     "udh" (hexadecimal) or "sar": [reference, of, number] for a part of a long text, "payload": true as message_payload
//   {"do":"receipt","id","to","stat"}
//   {"do":"drop"}                                  the connections break
// With SMPP_CERT and SMPP_KEY, files in PEM, it speaks TLS; with SMPP_CA it wants to see
// a certificate of its clients, too.
const fs = require('node:fs');
const smpp = require('smpp');
const readline = require('node:readline');

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const sessions = new Set();
let behave = { submit: 'ok', bind: 0, times: 0, after: 0 };
let ids = 0;

const pem = (name) => (process.env[name] ? fs.readFileSync(process.env[name]) : undefined);
const tls = { key: pem('SMPP_KEY'), cert: pem('SMPP_CERT'), ca: pem('SMPP_CA') };
if (tls.ca) Object.assign(tls, { requestCert: true, rejectUnauthorized: true });

const server = smpp.createServer(tls, (session) => {
  sessions.add(session);
  session.on('error', () => {});
  session.on('close', () => {
    sessions.delete(session);
    say({ event: 'close' });
  });
  session.on('bind_transceiver', (pdu) => {
    say({ event: 'bind', system: pdu.system_id, password: pdu.password, version: pdu.interface_version });
    session.send(pdu.response({ command_status: behave.bind, system_id: 'smsc' }));
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ event: 'unbind' });
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    const content = pdu.message_payload ?? pdu.short_message;
    const how = behave.after-- > 0 ? 'ok' : behave.submit;
    if (how !== 'ok' && behave.times > 0 && --behave.times === 0) behave.submit = 'ok';
    const id = typeof how === 'number' ? '' : `m${++ids}`;
    say({
      event: 'submit',
      id,
      from: pdu.source_addr,
      fromTon: pdu.source_addr_ton,
      to: pdu.destination_addr,
      toTon: pdu.dest_addr_ton,
      coding: pdu.data_coding,
      text: content.message.toString(),
      udh: content.udh ? Buffer.concat(content.udh.map((b) => Buffer.from(b))).toString('hex') : '',
      payload: pdu.message_payload !== undefined,
      receipt: pdu.registered_delivery,
    });
    if (how === 'hang') return;
    if (how === 'cut') return session.socket.destroy();
    if (how !== 'ok') return session.send(pdu.response({ command_status: how }));
    session.send(pdu.response({ message_id: id }));
  });
});

const deliver = (fields) => {
  for (const session of sessions) {
    session.deliver_sm(fields, (answer) => say({ event: 'delivered', status: answer.command_status }));
    return;
  }
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  switch (order.do) {
    case 'behave':
      behave = { submit: 'ok', bind: 0, times: 0, after: 0, ...order };
      say({ event: 'behaving' });
      break;
    case 'deliver': {
      const message = order.data !== undefined ? Buffer.from(order.data, 'hex') : order.text;
      const content = order.udh ? { udh: Buffer.from(order.udh, 'hex'), message } : message;
      const [sar_msg_ref_num, sar_total_segments, sar_segment_seqnum] = order.sar ?? [];
      deliver({
        source_addr_ton: 1, source_addr_npi: 1, source_addr: order.from,
        destination_addr: order.to, data_coding: order.coding ?? 0, esm_class: order.udh ? 0x40 : 0,
        ...(order.payload ? { message_payload: content } : { short_message: content }),
        ...(order.sar && { sar_msg_ref_num, sar_total_segments, sar_segment_seqnum }),
      });
      break;
    }
    case 'receipt':
      deliver({
        source_addr_ton: 1, source_addr_npi: 1, source_addr: order.to, destination_addr: 'Heed', esm_class: 4,
        short_message: `id:${order.id} sub:001 dlvrd:001 submit date:2611272030 done date:2611272031 stat:${order.stat} err:${order.err ?? '000'} text:Hello`,
      });
      break;
    case 'drop':
      for (const session of sessions) session.socket.destroy();
      break;
  }
}).on('close', () => process.exit(0));

server.listen(0, '127.0.0.1', () => say({ event: 'listening', port: server.address().port }));
