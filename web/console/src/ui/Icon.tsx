/** The console's few line icons: decoration only, always beside a text or inside a labelled control. */
const paths = {
  home: 'M4 11.5 12 5l8 6.5M6 10v9h4.5v-5h3v5H18v-9',
  live: 'M3 12h4l2.5-6 4 12 2.5-6h5',
  users:
    'M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11ZM3 19.5c.4-3.3 2.8-5 6-5s5.600 1.700 6 5M16 4.900a3.200 3.200 0 0 1 0 5.900M18 14.900c1.800.8 2.800 2.400 3 4.600',
  audience:
    'M12 20.5a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17ZM12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 12h.01',
  campaign:
    'M4 10v4l3 .5V9.500L4 10ZM7 9.500l10-4.500v14l-10-4.500M9 15.300l1 4.200h2.500l-1-3.300M20 10.500v3',
  template: 'M4 5h16v14H4zM4 9.500h16M8.500 9.500V19',
  events: 'M5 6h.01M5 12h.01M5 18h.01M9 6h11M9 12h11M9 18h11',
  outbox: 'M4 13.500 6.500 5h11L20 13.500V19H4v-5.500Zm0 0h4.500l1.200 2.500h4.600l1.200-2.500H20',
  settings:
    'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM12 3v2.500M12 18.500V21M3 12h2.500M18.500 12H21M5.600 5.600l1.800 1.800M16.600 16.600l1.800 1.800M5.600 18.400l1.800-1.800M16.600 7.400l1.800-1.800',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20 20l-4-4',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400',
  moon: 'M20 14.200A8 8 0 0 1 9.800 4 8 8 0 1 0 20 14.200Z',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  check: 'M5 12.500 10 17 19 7.500',
  chevron: 'M9 6l6 6-6 6',
  pause: 'M8.500 6v12M15.500 6v12',
  play: 'M8 5.500v13l10.500-6.500L8 5.500Z',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  external: 'M13 5h6v6M19 5l-8 8M17 14v5H5V7h5',
  alert: 'M12 8.500v5M12 16.800h.01M12 3.800 2.800 19.500h18.400L12 3.800Z',
  empty: 'M4 8.500 12 4l8 4.500v7L12 20l-8-4.500v-7ZM4 8.500l8 4.500 8-4.500M12 13v7',
  logout: 'M10 5H5v14h5M15 8l4 4-4 4M19 12h-9',
  clock: 'M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM12 7.500V12l3 2',
  bolt: 'M13 3 5 13.500h6L10.500 21 19 10.500h-6L13 3Z',
  key: 'M14.500 13.500a4.500 4.500 0 1 0-4.300-3.200L4 16.500V20h3.500v-2.500H10V15l1.700-1.700c.8.200 1.800.3 2.800.2ZM15.500 8.500h.01',
  trash: 'M5 7h14M10 7V4.500h4V7M7 7l1 12.500h8L17 7',
  plus: 'M12 5v14M5 12h14',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  close: 'M6 6l12 12M18 6 6 18',
  explore: 'M4 19V5M4 19h16M8.5 15.500v-3M12.500 15.500V8M16.500 15.500v-5.500',
  download: 'M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 19.500h14',
  shop: 'M5 9h14l-1 10.500H6L5 9ZM9 11.500V7a3 3 0 0 1 6 0v4.500',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.7}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      style={{ flexShrink: 0 }}
    >
      <path d={paths[name]} />
    </svg>
  );
}
