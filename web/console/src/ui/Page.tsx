import { Text, Title } from '@mantine/core';
import { Link, type LinkProps } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import { Icon } from './Icon';
import css from './ui.module.css';

/** A page: where it belongs, its title, one sentence, what can be done, and the body. */
export function Page(props: {
  title: string;
  /** The page that lists it among others. */
  home?: { label: string; link: LinkProps };
  heading?: ReactNode;
  lede?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${props.title} · Heed`;
  }, [props.title]);
  return (
    <div className={css.page}>
      <div className={css.head}>
        <div className={css.headText}>
          {props.home && (
            <nav className={css.crumbs} aria-label="Breadcrumb">
              <Link {...props.home.link} className={css.link ?? ''}>
                {props.home.label}
              </Link>
              <Icon name="chevron" size={13} />
            </nav>
          )}
          <Title order={1}>{props.heading ?? props.title}</Title>
          {props.lede && (
            <Text className={css.lede} size="sm" component="div">
              {props.lede}
            </Text>
          )}
        </div>
        {props.actions && <div className={css.meta}>{props.actions}</div>}
      </div>
      {props.children}
    </div>
  );
}

/** A panel with a heading. */
export function Card(props: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  flush?: boolean;
  label?: string;
}) {
  return (
    <section className={css.card} aria-label={props.label}>
      {props.title && (
        <div className={css.cardHead}>
          <Title order={2}>{props.title}</Title>
          {props.aside}
        </div>
      )}
      <div className={props.flush ? undefined : css.cardBody}>{props.children}</div>
    </section>
  );
}

/** One figure. A zero says why. */
export function Stat(props: {
  label: string;
  value: ReactNode;
  hint?: ReactNode;
  chart?: ReactNode;
}) {
  return (
    <div className={`${css.card} ${css.stat}`}>
      <span className={css.statLabel}>{props.label}</span>
      <span className={css.statValue}>{props.value}</span>
      {props.hint && <span className={css.statHint}>{props.hint}</span>}
      {props.chart}
    </div>
  );
}
