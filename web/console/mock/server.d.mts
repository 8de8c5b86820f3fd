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
}

export interface Mock {
  url: string;
  state: MockState;
  reset(): void;
  streams(): number;
  send(event: unknown): void;
  tell(type: string, value: unknown): void;
  drop(): void;
  close(): Promise<void>;
}

export function startMock(options?: Partial<MockState> & { port?: number }): Promise<Mock>;
