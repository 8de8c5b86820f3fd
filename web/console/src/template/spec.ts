import type { Schema } from '../api/client';
import { put } from '../trigger/spec';

export type Spec = Schema['TemplateSpec'];
export type Text = Schema['TemplateText'];
export type Part = keyof Text;

export const blank: Spec = { channel: 'web', as: 'popup' };

/** What a template of a type of channel begins with. */
export const starts: Record<string, Omit<Spec, 'channel'>> = {
  web: {
    as: 'popup',
    body: '<h2>{{ profile.traits.firstName | default: "Hello" }}</h2>\n<p>What you want to say.</p>\n<a href="/">Go on</a>\n',
  },
  outbox: { subject: 'A subject', body: '<p>What you want to say.</p>\n' },
  email: {
    subject: 'A subject',
    body: '<p>Hello {{ profile.traits.firstName | default: "there" }},</p>\n<p>what you want to say.</p>\n<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>\n',
  },
  sms: {
    body: 'Hello {{ profile.traits.firstName | default: "there" }}, what you want to say. Reply STOP to end messages.',
  },
  push: { subject: 'A title', body: 'What you want to say.', link: '/' },
  webhook: {
    body: '{\n  "user": {{ profile.id | json }},\n  "event": {{ event.name | json }}\n}\n',
  },
  pull: { body: '{"seen": {{ event.timestamp | json }}}\n' },
  kafka: {
    body: '{\n  "activation": {{ activation.id | json }},\n  "user": {{ profile.id | json }}\n}\n',
  },
};

/** The order in which a template reads best. */
export function ordered(spec: Spec): Spec {
  const { description, channel, as, expires, locale, subject, link, body, locales, ...rest } = spec;
  return JSON.parse(
    JSON.stringify({
      description,
      channel,
      as,
      expires,
      locale,
      subject,
      link,
      body,
      locales,
      ...rest,
    }),
  ) as Spec; // without what is not there
}

const said = { subject: 'text', link: 'text', body: 'text' } as const;
export const shape = {
  ...said,
  description: 'text',
  channel: 'text',
  as: 'text',
  expires: 'text',
  locale: 'text',
  locales: { '*': said },
} as const;

/** Sent by another channel, in the way of that one; only push has links. */
export function sentBy(spec: Spec, channel: string, type: string): Spec {
  const next = put({ ...spec, channel }, 'as', starts[type]?.as);
  if (type === 'push') return next;
  const { link: _, locales, ...rest } = next;
  const bare = Object.entries(locales ?? {}).map(([locale, { link: _, ...text }]) => [
    locale,
    text,
  ]);
  return bare.length > 0 ? { ...rest, locales: Object.fromEntries(bare) } : rest;
}

/** The parts that a text has on a type of channel, and what they are called. */
export function partsOf(type: string, as: string | undefined): [Part, string][] {
  const body: [Part, string] = [
    'body',
    ['webhook', 'pull', 'kafka'].includes(type) ? 'Document' : 'Text',
  ];
  const subject: [Part, string] = ['subject', type === 'push' ? 'Title' : 'Subject'];
  if (type === 'push') return [subject, ['link', 'Link'], body];
  return type === 'email' || (type === 'outbox' && as !== 'sms') ? [subject, body] : [body];
}

/** The text of a language; '' is that for everybody. */
export const textIn = (spec: Spec, locale: string): Text =>
  locale === '' ? spec : (spec.locales?.[locale] ?? {});

/** With another part of the text of a language. */
export function withPart(spec: Spec, locale: string, part: Part, said: string): Spec {
  if (locale === '') return put(spec, part, said);
  const text = put(textIn(spec, locale), part, said);
  return { ...spec, locales: { ...spec.locales, [locale]: text } };
}

/** Without the text of a language. */
export function without(spec: Spec, locale: string): Spec {
  const { [locale]: _, ...locales } = spec.locales ?? {};
  return put(spec, 'locales', Object.keys(locales).length > 0 ? locales : undefined);
}

/** The usual way to write a locale; what is none stays as it was typed. */
export function canonical(locale: string): string {
  try {
    return Intl.getCanonicalLocales(locale.replaceAll('_', '-'))[0] ?? locale;
  } catch {
    return locale;
  }
}

/** A locale in words: Brazilian Portuguese. */
export function languageOf(locale: string): string {
  try {
    return new Intl.DisplayNames(['en'], { type: 'language' }).of(locale) ?? locale;
  } catch {
    return locale;
  }
}

/** Those that are offered before anybody types. */
export const languages =
  'en de fr es it pt-BR pt nl pl sv da fi nb cs tr ru uk ja ko zh zh-Hant ar'.split(' ');

/** The line that a mistake in Liquid names. */
export const lineIn = (message: string): number => Number(/^line (\d+):/.exec(message)?.[1] ?? 1);
