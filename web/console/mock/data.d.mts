export function event(n: number, second?: number, over?: object): Record<string, unknown>;
export function delivery(n: number, second?: number): Record<string, unknown>;
