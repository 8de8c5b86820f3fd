import type { JSX } from 'preact';

// The products' pictures: drawn, so that the shop needs no other server.

const INK = '#2b2118';

const SHAPES: Record<string, [ground: string, shape: JSX.Element]> = {
  kettle: [
    '#f3d9c4',
    <>
      <path d="M66 66h68l16 70a10 10 0 0 1-10 12H60a10 10 0 0 1-10-12z" fill="#b5602d" />
      <path d="M144 92l26-18v14l-20 32z" fill="#93491c" />
      <path d="M68 66c0-46 64-46 64 0" fill="none" stroke={INK} stroke-width="7" />
      <circle cx="100" cy="60" r="7" fill={INK} />
    </>,
  ],
  lamp: [
    '#f6e6b8',
    <>
      <path d="M56 152c0-92 40-118 78-100" fill="none" stroke={INK} stroke-width="6" />
      <path d="M112 66a26 22 0 0 1 50 12z" fill="#c98a1b" />
      <path d="M112 78l-20 54h88l-18-54z" fill="#ffe9a8" opacity=".7" />
      <rect x="36" y="150" width="42" height="7" rx="3" fill={INK} />
    </>,
  ],
  chair: [
    '#d5e3dc',
    <>
      <path d="M62 52q38-14 76 0v52H62z" fill="#3f6b57" />
      <rect x="50" y="96" width="100" height="34" rx="12" fill="#4f8069" />
      <path d="M60 130l-8 26M140 130l8 26" stroke={INK} stroke-width="7" stroke-linecap="round" />
    </>,
  ],
  mug: [
    '#d9e2ee',
    <>
      <path d="M62 62h66v74a14 14 0 0 1-14 14H76a14 14 0 0 1-14-14z" fill="#476a96" />
      <path d="M128 80h10a20 20 0 0 1 0 40h-10" fill="none" stroke="#476a96" stroke-width="9" />
      <path d="M84 50q-6-10 0-18M104 50q-6-10 0-18" stroke="#8ba6c8" stroke-width="5" fill="none" />
    </>,
  ],
  blanket: [
    '#eadcea',
    <>
      <rect x="46" y="58" width="108" height="88" rx="10" fill="#8a5a8a" />
      <path
        d="M46 80l18-14 18 14 18-14 18 14 18-14 18 14M46 106l18-14 18 14 18-14 18 14 18-14 18 14M46 132l18-14 18 14 18-14 18 14 18-14 18 14"
        fill="none"
        stroke="#c79fc7"
        stroke-width="5"
      />
    </>,
  ],
  clock: [
    '#e4e0d6',
    <>
      <circle cx="100" cy="100" r="54" fill="#fff" stroke={INK} stroke-width="8" />
      <path d="M100 100V66M100 100l24 14" stroke={INK} stroke-width="6" stroke-linecap="round" />
      <circle cx="100" cy="100" r="5" fill="#c2431f" />
    </>,
  ],
  planter: [
    '#dcebcf',
    <>
      <path d="M58 96h84l-12 56H70z" fill="#bd6238" />
      <rect x="52" y="86" width="96" height="16" rx="4" fill="#a5502a" />
      <path
        d="M100 86c0-34-30-34-34-44 24 0 34 14 34 26 0-18 14-34 38-34-2 22-38 22-38 52z"
        fill="#4c7d34"
      />
    </>,
  ],
  knife: [
    '#dde3e4',
    <>
      <path d="M34 104h86v22C80 126 52 122 34 104z" fill="#9fb0b5" />
      <rect x="118" y="100" width="52" height="18" rx="8" fill="#5b3a22" />
      <circle cx="134" cy="109" r="3" fill="#d8c7b8" />
      <circle cx="152" cy="109" r="3" fill="#d8c7b8" />
    </>,
  ],
  speaker: [
    '#e8d8d3',
    <>
      <rect x="64" y="42" width="72" height="116" rx="14" fill="#4a3f3c" />
      <circle cx="100" cy="76" r="15" fill="#8d7b75" />
      <circle cx="100" cy="120" r="24" fill="#8d7b75" />
      <circle cx="100" cy="120" r="9" fill="#4a3f3c" />
    </>,
  ],
  basket: [
    '#efe0c2',
    <>
      <path d="M52 88h96l-10 62H62z" fill="#b98a45" />
      <path
        d="M54 104h92M57 120h86M60 136h80M76 88l4 62M100 88v62M124 88l-4 62"
        stroke="#8d662c"
        stroke-width="4"
      />
      <path d="M66 88c0-50 68-50 68 0" fill="none" stroke="#8d662c" stroke-width="7" />
    </>,
  ],
  teapot: [
    '#d3e8ea',
    <>
      <circle cx="98" cy="108" r="42" fill="#bfe0e4" stroke="#4a8790" stroke-width="5" />
      <path d="M58 116a42 42 0 0 0 80 0z" fill="#c88a3a" opacity=".85" />
      <path
        d="M138 96l26-16M60 90a24 24 0 1 0-6 36"
        fill="none"
        stroke="#4a8790"
        stroke-width="6"
      />
      <rect x="84" y="56" width="28" height="10" rx="5" fill="#4a8790" />
    </>,
  ],
  lantern: [
    '#d8dcec',
    <>
      <path d="M76 72h48l10 68H66z" fill="#ffe39a" stroke={INK} stroke-width="5" />
      <path d="M72 72l28-22 28 22zM60 140h80v12H60z" fill={INK} />
      <path d="M100 92q14 16 0 32q-14-16 0-32z" fill="#ef8b2c" />
      <path d="M88 50a12 12 0 0 1 24 0" fill="none" stroke={INK} stroke-width="5" />
    </>,
  ],
};

export function Art({ id }: { id: string }) {
  const [ground, shape] = SHAPES[id] ?? ['#ddd', <circle key="" cx="100" cy="100" r="40" />];
  return (
    <svg class="art" viewBox="0 0 200 200" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <rect width="200" height="200" fill={ground} />
      <ellipse cx="100" cy="160" rx="62" ry="8" fill="#0002" />
      {shape}
    </svg>
  );
}
