import { describe, expect, test } from 'vitest';
import {
  blank,
  type Field,
  fieldsOf,
  lacks,
  makeTrait,
  problemsOf,
  propertyOf,
  read,
  type Spec,
  suggest,
  take,
  takeAll,
  timeFormatOf,
  toText,
  use,
} from './spec';

const spec: Spec = {
  kafka: { brokers: ['k:1'] },
  topic: 'crm.registrations',
  userId: 'value.customer.id',
  event: 'registered',
};
const fields: Field[] = ['key', 'value.at', 'value.customer.id', 'value.id'].map((place) => ({
  place,
  type: 'text',
  messages: 1,
  examples: [],
}));

test('what is missing is said in the order of the form', () => {
  const f = (part: Partial<Spec>, want: string | undefined) =>
    expect(lacks({ ...blank, ...part })).toBe(want);
  f({}, 'Say where the brokers are');
  f({ kafka: spec.kafka }, 'Pick a topic');
  f({ kafka: spec.kafka, topic: 't' }, 'Pick the field that says who did it');
  f({ kafka: spec.kafka, topic: 't', anonymousId: 'key' }, 'Say what the event is called');
  f({ kafka: spec.kafka, topic: 't', userId: 'key', eventFrom: 'value.type' }, undefined);
  f(spec, undefined);
});

test('a stream is called after its topic', () => {
  expect(suggest(spec)).toBe('registrations');
  expect(suggest({ ...spec, topic: 'orders' })).toBe('orders');
  expect(suggest({ ...spec, topic: 'odd._x' })).toBe('');
});

describe('properties', () => {
  test('without any, all fields of the value are taken as they stand', () => {
    expect(propertyOf(spec, 'value.customer.id')).toBe('customer.id');
    expect(propertyOf(spec, 'key')).toBeUndefined();
  });
  test('one that is switched off leaves the others, each with a name of its own', () => {
    const less = take(spec, 'value.at', false, fields);
    expect(less.properties).toEqual({ id: 'value.customer.id', value_id: 'value.id' });
    // what has a name keeps it
    const more = take(less, 'key', true, fields);
    expect(more.properties).toEqual({ ...less.properties, key: 'key' });
    expect(take(more, 'value.customer.id', false, fields).properties).toEqual({
      value_id: 'value.id',
      key: 'key',
    });
  });
  test('a header is named so that a template can print it', () => {
    expect(take({ ...spec, properties: {} }, 'headers.ce-type', true, fields).properties).toEqual({
      ce_type: 'headers.ce-type',
    });
  });
  test('all of them again', () => {
    const some = takeAll(spec, false, fields);
    expect(Object.values(some.properties ?? {})).toEqual([
      'value.at',
      'value.customer.id',
      'value.id',
    ]);
    expect('properties' in takeAll(some, true, fields)).toBe(false);
  });
});

test('a place is a trait, or none', () => {
  const with_ = makeTrait(spec, 'value.customer.email', true);
  expect(with_.traits).toEqual({ email: 'value.customer.email' });
  expect('traits' in makeTrait(with_, 'value.customer.email', false)).toBe(false);
});

test('the name of the event is either told or fixed, and a time has a format only if it is told', () => {
  const told = use(spec, 'eventFrom', 'value.type');
  expect(told.event).toBeUndefined();
  expect(told.eventFrom).toBe('value.type');
  const timed: Spec = { ...spec, time: 'value.at', timeFormat: 'ms' };
  expect('timeFormat' in use(timed, 'time', undefined)).toBe(false);
  expect(use(timed, 'time', 'value.id').timeFormat).toBe('ms');
});

test('how times are given shows in an example', () => {
  const f = (type: Field['type'], example: string) =>
    timeFormatOf({ place: 'value.at', type, messages: 1, examples: [example] });
  expect(f('time', '2026-11-28T07:00:00Z')).toBeUndefined();
  expect(f('number', '1795849200')).toBe('s');
  expect(f('number', '1795849200000')).toBe('ms');
  expect(f('number', '1795849200000000')).toBe('us');
  expect(f('text', '1795849200')).toBeUndefined();
  expect(timeFormatOf(undefined)).toBeUndefined();
});

test('places that the sample does not have are fields too', () => {
  const all = fieldsOf(
    { ...spec, traits: { email: 'value.mail' } },
    { topics: [], partitions: 1, messages: [], fields, problems: [] },
  );
  expect(all.slice(fields.length)).toEqual([
    { place: 'value.mail', type: 'nothing', messages: 0, examples: [] },
  ]);
});

test('each problem belongs to one part of the form', () => {
  const all = ['kafka.sasl', 'avro.schema', 'traits.email', 'name', undefined].map((path) => ({
    file: '',
    line: 1,
    column: 1,
    kind: 'stream',
    name: 'x',
    message: 'is wrong',
    ...(path ? { path } : {}),
  }));
  const of = (part: 'connection' | 'topic' | 'mapping') =>
    problemsOf(all as never, part).map((p) => p.path);
  expect(of('connection')).toEqual(['kafka.sasl']);
  expect(of('topic')).toEqual(['avro.schema']);
  expect(of('mapping')).toEqual(['traits.email', 'name', undefined]);
});

describe('as text', () => {
  test('it is read back, whatever the order of its keys', () => {
    const odd = { paused: true, userId: 'key', topic: 't', extra: 1, kafka: spec.kafka } as Spec;
    const text = toText('crm', odd);
    expect(text.split('\n').map((l) => l.split(':')[0])).toEqual([
      ...[
        'kind',
        'name',
        'kafka',
        '  brokers',
        '    - k',
        'topic',
        'userId',
        'paused',
        'extra',
        '',
      ],
    ]);
    expect(read(text)).toEqual({ name: 'crm', spec: odd });
  });
  test('what is not there yet is empty for the form', () => {
    expect(read('kind: stream\nname: x\nkafka:\n')).toEqual({ name: 'x', spec: blank });
    expect(read('kafka: {brokers: here}')).toEqual({ line: 1, message: 'kafka.brokers is a list' });
  });
});
