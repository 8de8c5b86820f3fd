import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

/** A link to a page of the console, or to one beside it. */
export function To({
  href,
  className,
  children,
}: {
  href: string;
  className?: string | undefined;
  children: ReactNode;
}) {
  const inside = href.startsWith('/') && !/^\/(?:shop|test|v1|api)\b/.test(href);
  return inside ? (
    <Link to={href} className={className}>
      {children}
    </Link>
  ) : (
    <a href={href} className={className} target="_blank" rel="noreferrer">
      {children}
    </a>
  );
}
