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
