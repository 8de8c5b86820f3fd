import {
  Alert,
  Button,
  Input,
  NativeSelect,
  PasswordInput,
  SegmentedControl,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { messageOf } from '../api/problem';
import { plural } from '../format/number';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { type Problem, put } from '../trigger/spec';
import { Card } from '../ui/Page';
import type { Spec } from './spec';
import css from './stream.module.css';
import type { Editing } from './useSampling';

type Kafka = Spec['kafka'];
type Mechanism = NonNullable<Kafka['sasl']>['mechanism'];

const mechanisms = [
  { value: '', label: 'Without a password' },
  { value: 'plain', label: 'PLAIN' },
  { value: 'scram-sha-256', label: 'SCRAM-SHA-256' },
  { value: 'scram-sha-512', label: 'SCRAM-SHA-512' },
];

/** Where the brokers are, and how they are reached. */
export function Connection(props: Editing & { problems: readonly Problem[] }) {
  const { spec, sampling, readOnly, problems } = props;
  const { kafka } = spec;
  const set = (next: Kafka) => props.set({ ...spec, kafka: next });
  return (
    <Card
      title="Brokers"
      aside={
        props.may && (
          <Button
            size="xs"
            variant={sampling.topics ? 'default' : 'filled'}
            loading={sampling.connecting}
            disabled={kafka.brokers.length === 0}
            onClick={sampling.connect}
          >
            Connect
          </Button>
        )
      }
    >
      <div className={css.fields}>
        <Brokers
          value={kafka.brokers}
          set={(brokers) => set({ ...kafka, brokers })}
          readOnly={readOnly}
        />
        <div className={css.pair}>
          <Input.Wrapper label="Encryption" labelElement="div">
            <SegmentedControl
              fullWidth
              aria-label="Encryption"
              disabled={readOnly}
              value={kafka.tls ? 'tls' : 'none'}
              data={[
                { value: 'none', label: 'None' },
                { value: 'tls', label: 'TLS' },
              ]}
              onChange={(next) => set(put(kafka, 'tls', next === 'tls' ? {} : undefined))}
            />
          </Input.Wrapper>
          <NativeSelect
            label="Sign in"
            data={mechanisms}
            value={kafka.sasl?.mechanism ?? ''}
            disabled={readOnly}
            onChange={(e) => {
              const mechanism = e.currentTarget.value as Mechanism | '';
              if (mechanism === '') return set(put(kafka, 'sasl', undefined));
              const sasl = { user: '', password: '', ...kafka.sasl, mechanism };
              // PLAIN says the password as it is
              set({ ...kafka, ...(mechanism === 'plain' && !kafka.tls ? { tls: {} } : {}), sasl });
            }}
          />
        </div>
        {kafka.sasl && <SignIn kafka={kafka} set={set} readOnly={readOnly} />}
        {kafka.tls && <Certificates kafka={kafka} set={set} readOnly={readOnly} />}
        {sampling.unreachable ? (
          <Alert
            color="red"
            variant="outline"
            title="No connection"
            styles={{ body: { color: 'var(--mantine-color-text)' } }}
          >
            {messageOf(sampling.unreachable)}
          </Alert>
        ) : (
          sampling.topics && (
            <Text size="sm" role="status">
              Connected: {plural(sampling.topics.length, 'topic')}.
            </Text>
          )
        )}
        <Mistakes all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
      </div>
    </Card>
  );
}

interface Part {
  kafka: Kafka;
  set: (kafka: Kafka) => void;
  readOnly: boolean;
}

/** Some of the brokers; what is typed stays as it is while it is. */
function Brokers(props: {
  value: readonly string[];
  set: (brokers: string[]) => void;
  readOnly: boolean;
}) {
  const [typed, setTyped] = useState<string>();
  return (
    <TextInput
      label="Addresses"
      description="Some of the cluster’s brokers, as host:port"
      placeholder="kafka-1.example:9093, kafka-2.example:9093"
      value={typed ?? props.value.join(', ')}
      readOnly={props.readOnly}
      onChange={(e) => {
        setTyped(e.currentTarget.value);
        props.set(e.currentTarget.value.split(/[\s,]+/).filter(Boolean));
      }}
      onBlur={() => setTyped(undefined)}
    />
  );
}

function SignIn({ kafka, set, readOnly }: Part) {
  const { sasl } = kafka;
  if (!sasl) return null;
  return (
    <div className={css.pair}>
      <TextInput
        label="User"
        autoComplete="off"
        value={sasl.user}
        readOnly={readOnly}
        onChange={(e) => set({ ...kafka, sasl: { ...sasl, user: e.currentTarget.value } })}
      />
      <Secret
        label="Password"
        value={sasl.password}
        set={(password) => set({ ...kafka, sasl: { ...sasl, password } })}
        readOnly={readOnly}
      />
    </div>
  );
}

/** What is stored encrypted, and is never shown again. */
export function Secret(props: {
  label: string;
  value: string;
  set: (value: string) => void;
  readOnly: boolean;
}) {
  return (
    <PasswordInput
      label={props.label}
      description={
        props.value === '***' ? 'One is stored; type another to replace it' : 'Stored encrypted'
      }
      autoComplete="new-password"
      visibilityToggleButtonProps={{ 'aria-label': `Show or hide: ${props.label}` }}
      value={props.value}
      readOnly={props.readOnly}
      onFocus={(e) => e.currentTarget.select()}
      onChange={(e) => props.set(e.currentTarget.value)}
    />
  );
}

const certificates = [
  ['ca', 'Certificate authority', 'Empty: those that the server’s system trusts'],
  ['cert', 'Certificate of this client', 'Where the brokers ask for one'],
  ['key', 'Its key', 'Stored encrypted, and shown as ***'],
] as const;

function Certificates({ kafka, set, readOnly }: Part) {
  const { tls = {} } = kafka;
  return (
    <Fold title="Certificates" open={Object.keys(tls).length > 0}>
      <div className={css.fields}>
        {certificates.map(([key, label, about]) => (
          <Textarea
            key={key}
            label={label}
            description={`${about}. In PEM, or a file on the server.`}
            autosize
            minRows={1}
            maxRows={6}
            value={tls[key] ?? ''}
            readOnly={readOnly}
            onChange={(e) => set({ ...kafka, tls: put(tls, key, e.currentTarget.value) })}
          />
        ))}
        <TextInput
          label="Name in the brokers’ certificate"
          placeholder="that of the address"
          value={tls.serverName ?? ''}
          readOnly={readOnly}
          onChange={(e) => set({ ...kafka, tls: put(tls, 'serverName', e.currentTarget.value) })}
        />
      </div>
    </Fold>
  );
}

/** What is seldom said, folded away unless something is said there when it appears. */
export function Fold(props: { title: string; open: boolean; children: ReactNode }) {
  const [open] = useState(props.open);
  return (
    <details open={open}>
      <summary>{props.title}</summary>
      {props.children}
    </details>
  );
}
