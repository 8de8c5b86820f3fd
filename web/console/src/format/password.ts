/** A hint at how hard a password is to guess: length first, then variety. The server has the last word. */
export function strength(password: string): { score: 0 | 1 | 2 | 3; hint: string } {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z\d]/].filter((kind) =>
    kind.test(password),
  ).length;
  const varied = new Set(password).size;
  if (password.length < 10) {
    return { score: 0, hint: `At least 10 characters; ${10 - password.length} to go` };
  }
  if (varied < 5 || /^(?:password|qwerty|letmein|123456|heed)/i.test(password)) {
    return { score: 1, hint: 'Easy to guess: use several unrelated words' };
  }
  if (password.length >= 16 || (password.length >= 12 && kinds >= 3)) {
    return { score: 3, hint: 'Strong' };
  }
  return { score: 2, hint: 'Good; longer is better' };
}
