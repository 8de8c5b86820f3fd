/** An answer of the API that is not a success. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint = '') {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.hint = hint;
  }

  /** The Problem in an answer's body, or words for the status if the body holds none. */
  static from(status: number, body: unknown, retryAfter: string | null = null): Problem {
    const error = field(body, 'error');
    const code = text(field(error, 'code'));
    let message = text(field(error, 'message'));
    let hint = text(field(error, 'hint'));
    const problems = field(error, 'problems');
    if (Array.isArray(problems) && problems.length > 0) {
      message = problems
        .map((p) => [text(field(p, 'name')), text(field(p, 'message'))].filter(Boolean).join(': '))
        .join('\n');
      hint ||= text(field(problems[0], 'hint'));
    }
    if (status === 429 && retryAfter) hint ||= `Try again in ${retryAfter} s.`;
    return new Problem(status, code, sentence(message) || words(status), sentence(hint));
  }
}

/** What to tell people about an error. */
export function messageOf(error: unknown): string {
  if (error instanceof Problem) {
    return [error.message, error.hint].map(stop).filter(Boolean).join(' ');
  }
  if (error instanceof TypeError) {
    return 'Heed does not answer. It may be restarting; nothing that it confirmed is lost.';
  }
  return error instanceof Error ? stop(error.message) : 'Something went wrong.';
}

function words(status: number): string {
  if (status === 401) return 'You are not signed in';
  if (status === 403) return 'Your role does not allow this';
  if (status === 404) return 'There is no such thing here';
  if (status === 429) return 'Too many tries';
  return status >= 500
    ? `Heed could not answer (${status})`
    : `The request was refused (${status})`;
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const sentence = (value: string): string => value && value[0]?.toUpperCase() + value.slice(1);
const stop = (value: string): string => (value && !/[.!?]$/.test(value) ? `${value}.` : value);
