export interface MockState {
  empty: boolean;
  demo: boolean;
  setup: boolean;
  signedIn: boolean;
  plain: boolean;
  fail: string[];
  hang: string[];
  role: string;
  crowd: boolean;
  backtestMs: number;
  backtests: { trigger: Record<string, unknown> }[];
  cancelled: number;
  sample: string | undefined;
  /** The questions that were asked. */
  measured: { query?: Record<string, unknown>; [key: string]: unknown }[];
  /** What was sent. */
  sending: { stopped: boolean };
  included: [string, string][];
  sends: { id: string; name: string; matched: number; [key: string]: unknown }[];
  /** What was tried. */
  trials: { user: string; event?: string; documents: Record<string, unknown>[] }[];
  /** What becomes of a trial instead of being sent. */
  refused?: string;
  /** The next order finds another number of users than was reviewed. */
  drift: boolean;
  /** There is something out of the ordinary. */
  alerts: boolean;
  /** What could not be looked at. */
  alertNotes: string[] | undefined;
  /** How long the answer to a question takes, in ms. */
  measureMs: (query: Record<string, unknown>) => number;
}

export interface Mock {
  url: string;
  state: MockState;
  reset(): void;
  save(kind: string, name: string, spec: unknown): void;
  stored(
    kind: string,
    name: string,
  ): { version: number; spec: Record<string, unknown> } | undefined;
  streams(): number;
  send(event: unknown): void;
  tell(type: string, value: unknown): void;
  drop(): void;
  close(): Promise<void>;
}

export function startMock(options?: Partial<MockState> & { port?: number }): Promise<Mock>;
