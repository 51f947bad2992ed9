/** What only the operator sees, at an address of its own: a tunnel that leads to the front door ends there. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Instant, Metrics } from './metrics.ts';
import { CONTENT_TYPE } from './prometheus.ts';
import { sendError, sendJson } from './request-error.ts';

/** `GET /metrics` for Prometheus, `GET /healthz` for people and supervisors; `instant` is null until both make sense. */
export function createMetricsServer(metrics: Metrics, instant: () => Instant | null): Server {
  return createServer((req, res) => {
    const now = instant();
    if (now === null) {
      return sendError(res, { code: 'overloaded', message: 'This node is still enrolling.' });
    }
    switch (`${req.method} ${req.url?.split('?')[0]}`) {
      case 'GET /metrics':
        return printMetrics(res, metrics.print(now));
      case 'GET /healthz':
        return sendJson(res, 200, { ok: true, ...now.info, ...now.gauges });
      default:
        return sendJson(res, 404, { error: { code: 'not_found', message: 'No such route.' } });
    }
  });
}

function printMetrics(res: ServerResponse, text: string): void {
  res.writeHead(200, { 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
  res.end(text);
}
