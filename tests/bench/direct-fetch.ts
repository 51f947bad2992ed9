/**
 * Patches Miniflare; import it before Miniflare. Miniflare routes every `fetch` of a Worker through an interceptor Worker,
 * a tool for developers that costs about as much as a bare Worker and that Cloudflare does not have. With this patch
 * `fetch` goes directly to workerd's network, as with a configuration of workerd's own.
 */
import { registerHooks } from 'node:module';

const INTERCEPTED = 'globalOutbound: { name: getOutboundInterceptorName(workerIndex) }';
const DIRECT = 'globalOutbound: { name: "internet" }';

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/miniflare/dist/src/index.js')) return loaded;
    const source = String(loaded.source);
    // another release of Miniflare: fail rather than measure another system
    if (!source.includes(INTERCEPTED)) throw new Error('Miniflare no longer says where fetches go');
    return { ...loaded, source: source.replace(INTERCEPTED, DIRECT) };
  },
});
