import createClient from 'openapi-fetch';
import { Problem } from './problem';
import type { components, paths } from './schema.gen';

export type Schema = components['schemas'];

/** Called when the server says that nobody is signed in. */
let signedOut = () => {};
export function onSignedOut(call: () => void): void {
  signedOut = call;
}

export const client = createClient<paths>({ baseUrl: '/api/v1' });

interface Answer<T> {
  data?: T | undefined;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or a thrown Problem. */
export async function take<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  const problem = Problem.from(response.status, error, response.headers.get('Retry-After'));
  if (problem.code === 'not_signed_in') signedOut();
  throw problem;
}
