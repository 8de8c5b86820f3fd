// `npm run mock`: the built pages with a made-up installation behind them.
// Arguments set options: `npm run mock -- empty setup`.
import { event } from './data.mjs';
import { startMock } from './server.mjs';

const options = Object.fromEntries(process.argv.slice(2).map((word) => [word, true]));
const mock = await startMock({ port: Number(process.env.PORT ?? 8090), ...options });
let n = 2000;
if (!mock.state.empty) setInterval(() => mock.state.crowd && mock.send(event(n++)), 400);
console.log(mock.url);
