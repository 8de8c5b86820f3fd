import { createTheme, type MantineColorsTuple, rem } from '@mantine/core';

const brand: MantineColorsTuple = [
  '#eef0ff',
  '#dfe2fe',
  '#bfc5fb',
  '#9aa3f7',
  '#7d87f2',
  '#6a72ec',
  '#5a5fe3',
  '#4a4bd0',
  '#3d3cb4',
  '#323290',
];

/** Slate greys that carry a little blue, so that light and dark belong together. */
const gray: MantineColorsTuple = [
  '#f8fafc',
  '#f1f5f9',
  '#e4e9f0',
  '#cfd8e3',
  '#b3bfce',
  '#8492a6',
  '#5b697d',
  '#435064',
  '#2c3748',
  '#182130',
];

const dark: MantineColorsTuple = [
  '#dfe5ee',
  '#b9c3d2',
  '#9aa7ba',
  '#5f6c80',
  '#3a4557',
  '#2a3342',
  '#1e2633',
  '#161c27',
  '#11161f',
  '#0c1017',
];

export const theme = createTheme({
  primaryColor: 'brand',
  primaryShade: { light: 7, dark: 6 },
  colors: { brand, gray, dark },
  fontFamily:
    'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, "JetBrains Mono", Menlo, Consolas, "Liberation Mono", monospace',
  headings: {
    fontWeight: '650',
    sizes: {
      h1: { fontSize: rem(24), lineHeight: '1.25' },
      h2: { fontSize: rem(16), lineHeight: '1.4' },
      h3: { fontSize: rem(14), lineHeight: '1.4' },
    },
  },
  fontSizes: { xs: rem(12), sm: rem(13.5), md: rem(15), lg: rem(17), xl: rem(20) },
  defaultRadius: 'md',
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
});
