/** Entry of the playground's script: reads the page's data and draws the app. */
import { render } from 'hono/jsx/dom';
import { App } from './app.tsx';
import { DATA_ID, type PlaygroundData, ROOT_ID } from './data.ts';

const data = JSON.parse(document.getElementById(DATA_ID)!.textContent!) as PlaygroundData;
render(<App data={data} />, document.getElementById(ROOT_ID)!);
