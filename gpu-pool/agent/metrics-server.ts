/**
 * The operator's HTTP server. It has an address of its own, so that a tunnel to the request server does not expose
 * it.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Metrics, MetricsSnapshot } from './metrics.ts';
import { CONTENT_TYPE } from './prometheus.ts';
import { sendError, sendJson } from './request-error.ts';

/**
 * Serves `GET /metrics` for Prometheus and `GET /healthz` for people and supervisors. `snapshot` gives null until
 * the node has enrolled.
 */
export function createMetricsServer(metrics: Metrics, snapshot: () => MetricsSnapshot | null): Server {
  return createServer((req, res) => {
    const current = snapshot();
    if (current === null) {
      return sendError(res, { code: 'overloaded', message: 'This node is still enrolling.' });
    }
    switch (`${req.method} ${req.url?.split('?')[0]}`) {
      case 'GET /metrics':
        return printMetrics(res, metrics.print(current));
      case 'GET /healthz':
        return sendJson(res, 200, { ok: true, ...current.info, ...current.gauges });
      default:
        return sendJson(res, 404, { error: { code: 'not_found', message: 'Route not found.' } });
    }
  });
}

function printMetrics(res: ServerResponse, text: string): void {
  res.writeHead(200, { 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
  res.end(text);
}
