import type { Definition } from '../api/queries';

/** A way out; what else it says depends on its type. */
export interface Channel {
  type: string;
  [key: string]: unknown;
}

const addresses: Record<string, string> = { email: 'E-mail address', sms: 'Number' };

/** What a channel sends to, undefined where that is no address that people type. */
export function addressOf(
  channels: readonly Definition<{ type: string }>[] | undefined,
  name: string | undefined,
): string | undefined {
  return addresses[channels?.find((c) => c.name === name)?.spec.type ?? ''];
}

/** Whether contents of a channel need no template: it has something to say by itself. */
export const speaks = (
  channels: readonly Definition<{ type: string }>[] | undefined,
  name: string,
): boolean => channels?.find((c) => c.name === name)?.spec.type === 'kafka';

export interface ChannelType {
  type: string;
  label: string;
  about: string;
  /** What a new one begins with. */
  start: Record<string, unknown>;
  /** What is sent to try it. */
  sample: Record<string, unknown>;
}

/** The types that have to be set up, and how that begins. */
export const channelTypes: ChannelType[] = [
  {
    type: 'email',
    label: 'E-mail',
    about: 'Sends by the SMTP server of a provider, or of your own',
    start: {
      smtp: {
        host: 'smtp.example',
        user: 'heed',
        password: 'the password',
        from: 'Shop <news@shop.example>',
      },
      address: 'Shop Ltd, 1 High Street, Town',
    },
    sample: {
      subject: 'A test from Heed',
      body: '<p>This is what an e-mail by this channel looks like.</p><p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
    },
  },
  {
    type: 'sms',
    label: 'Text messages',
    about: 'Sends over SMPP, or over an HTTP API like Twilio’s (docs/sms.md)',
    start: {
      smpp: { host: 'smpp.example', systemId: 'heed', password: 'secret', sender: 'Shop' },
      sms: { country: 'DE' },
    },
    sample: { body: 'A test from Heed. Reply STOP to end messages.' },
  },
  {
    type: 'push',
    label: 'Push',
    about: 'Notifications in browsers that have agreed to them',
    start: { push: { subject: 'mailto:webmaster@shop.example' } },
    sample: { subject: 'A test from Heed', body: 'It arrived.' },
  },
  {
    type: 'webhook',
    label: 'Webhook',
    about: 'Posts a signed document to somebody’s server',
    start: { url: 'https://crm.example/heed', secret: 'a secret that signs what is sent' },
    sample: { body: '{"hello": "{{ campaign.name }}"}' },
  },
  {
    type: 'pull',
    label: 'Pull store',
    about: 'Writes a document that sites, apps and later campaigns read',
    start: { collection: 'scores' },
    sample: { body: '{"tried": true}' },
  },
  {
    type: 'kafka',
    label: 'Kafka',
    about: 'Writes a record to a topic of somebody’s brokers (docs/kafka.md)',
    start: {
      kafka: {
        brokers: ['kafka-1.example:9093'],
        tls: {},
        sasl: { mechanism: 'scram-sha-512', user: 'heed', password: 'the password' },
      },
      topic: 'heed.deliveries',
    },
    sample: { body: '{"tried": true}' },
  },
];
