/** Heed's mark. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="#4338ca" />
      <path
        d="M9 8v16M9 16h7.500a4.500 4.500 0 0 1 4.500 4.500V24"
        fill="none"
        stroke="#fff"
        strokeWidth="3.4"
        strokeLinecap="round"
      />
      <circle cx="21.500" cy="10" r="3.200" fill="#fbbf24" />
    </svg>
  );
}
