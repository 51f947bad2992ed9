/**
 * Import this before Miniflare. Miniflare sends all that a Worker fetches through a Worker of its own, for what a
 * developer wants to see on the way; it costs about as much as a bare Worker, and Cloudflare has no such thing. Here a
 * Worker's `fetch` goes straight to workerd's network, as it does where workerd has a configuration of one's own.
 */
import { registerHooks } from 'node:module';

const BY_WAY_OF_MINIFLARE = 'globalOutbound: { name: getOutboundInterceptorName(workerIndex) }';
const DIRECT = 'globalOutbound: { name: "internet" }';

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/miniflare/dist/src/index.js')) return loaded;
    const source = String(loaded.source);
    // another release of Miniflare: better no figures than those of another system
    if (!source.includes(BY_WAY_OF_MINIFLARE)) throw new Error('Miniflare no longer says where fetches go');
    return { ...loaded, source: source.replace(BY_WAY_OF_MINIFLARE, DIRECT) };
  },
});
