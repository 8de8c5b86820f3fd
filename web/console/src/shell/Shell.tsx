import {
  ActionIcon,
  Drawer,
  Menu,
  Text,
  useComputedColorScheme,
  useMantineColorScheme,
} from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useState } from 'react';
import type { Schema } from '../api/client';
import { type Me, useLogout, useMay } from '../api/session';
import { useReturn } from '../feed/useReturn';
import { sentence } from '../format/words';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Mark } from '../ui/Mark';
import { AlertBadge } from './AlertBadge';
import { LiveBadge } from './LiveBadge';
import { pages } from './nav';
import { patient } from './patient';
import { StopSending } from './StopSending';
import css from './shell.module.css';

const loadSearch = () => patient(() => import('./Search'));
const Search = lazy(loadSearch);

function Navigation({ onPick }: { onPick?: () => void }) {
  const { pathname } = useLocation();
  return (
    <ul className={css.nav}>
      {pages.map((page) => (
        <li key={page.to}>
          <Link
            to={page.to}
            className={css.item}
            activeOptions={{ exact: page.to === '/' }}
            data-within={
              ('within' in page && page.within.some((path) => pathname.startsWith(path))) ||
              undefined
            }
            onClick={onPick}
          >
            <Icon name={page.icon} />
            {page.label}
          </Link>
        </li>
      ))}
    </ul>
  );
}

function SchemeToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const next = scheme === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size={36}
      aria-label={`Switch to ${next} colours`}
      onClick={() => setColorScheme(next)}
      c="var(--heed-muted)"
    >
      <Icon name={scheme === 'dark' ? 'sun' : 'moon'} />
    </ActionIcon>
  );
}

function Account({ me }: { me: Me }) {
  const logout = useLogout();
  const name = me.email ?? me.name;
  return (
    <Menu position="bottom-end" width={230} shadow="md" withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <ActionIcon
          variant="light"
          radius="xl"
          size={34}
          aria-label={`Account: ${name}`}
          c="var(--heed-accent)"
          fw={700}
        >
          {name.slice(0, 1).toUpperCase()}
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Text size="sm" fw={600} px="sm" pt={6} style={{ overflowWrap: 'anywhere' }}>
          {name}
        </Text>
        <Text size="xs" c="dimmed" px="sm" pb={6}>
          {sentence(me.role)}
        </Text>
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="logout" size={16} />} onClick={() => logout.mutate()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** What surrounds every page: navigation, search, the live badge. */
export function Shell({ me, setup }: { me: Me; setup: Schema['SetupState'] }) {
  useReturn();
  const may = useMay('marketer');
  const [menu, { open, close }] = useDisclosure(false);
  const [searching, setSearching] = useState(false);
  useEffect(() => {
    // Fetched once the page has settled, so that what is typed right after Ctrl-K is not lost.
    const timer = setTimeout(loadSearch, 1500);
    return () => clearTimeout(timer);
  }, []);
  useHotkeys([['mod+K', () => setSearching(true)]], []);
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#main">
        Skip to the page
      </a>
      <aside className={css.side}>
        <Link to="/" className={css.brand}>
          <Mark /> Heed
        </Link>
        <nav aria-label="Pages">
          <Navigation />
        </nav>
        <div className={css.foot}>
          {setup.demo && <div>Demo with simulated shoppers</div>}
          {setup.version && <div>Version {setup.version}</div>}
        </div>
      </aside>
      <Drawer
        opened={menu}
        onClose={close}
        size={260}
        title={
          <span className={css.brand} style={{ padding: 0 }}>
            <Mark /> Heed
          </span>
        }
        closeButtonProps={{ 'aria-label': 'Close the menu' }}
      >
        <nav aria-label="Pages">
          <Navigation onPick={close} />
        </nav>
      </Drawer>
      <div className={css.main}>
        <header className={css.header}>
          <ActionIcon
            className={css.burger}
            variant="subtle"
            color="gray"
            size={36}
            aria-label="Open the menu"
            onClick={open}
            c="var(--heed-muted)"
          >
            <svg
              width="18"
              height="18"
              viewBox="0 0 24 24"
              stroke="currentColor"
              strokeWidth="2"
              aria-hidden="true"
            >
              <path d="M4 7h16M4 12h16M4 17h16" strokeLinecap="round" />
            </svg>
          </ActionIcon>
          <button
            type="button"
            className={css.search}
            onClick={() => setSearching(true)}
            aria-keyshortcuts="Control+K"
          >
            <Icon name="search" size={16} />
            <span>Search</span>
            {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: it takes no focus */}
            <kbd aria-hidden="true">Ctrl K</kbd>
          </button>
          <div className={css.spacer} />
          {may && (
            <LinkButton
              to="/new/campaign"
              size="xs"
              className={css.make}
              leftSection={<Icon name="plus" size={15} />}
              aria-label="New campaign"
            >
              <span>New campaign</span>
            </LinkButton>
          )}
          <StopSending />
          <AlertBadge />
          <LiveBadge />
          <SchemeToggle />
          <Account me={me} />
        </header>
        <main id="main" className={css.body} tabIndex={-1}>
          <Suspense>
            <Outlet />
          </Suspense>
        </main>
      </div>
      {searching && (
        <Suspense>
          <Search onClose={() => setSearching(false)} />
        </Suspense>
      )}
    </div>
  );
}
