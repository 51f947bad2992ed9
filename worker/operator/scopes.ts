/** The scope that each route of the operator API needs. A route that is missing here is refused, whoever calls it. */
import type { OperatorScope } from '../domain/operator-scopes.ts';

/**
 * `deploy-token`: only the token that is set when the edge is deployed may call it. It makes operators and tokens, so what
 * it gave away could make more of itself.
 */
export type NeededScope = OperatorScope | 'deploy-token';

export const SCOPES: Readonly<Record<string, NeededScope>> = {
  'GET /nodes': 'read',
  'POST /join-tokens': 'nodes',
  'POST /nodes/:id/:verb': 'nodes',
  'POST /operators': 'deploy-token',
  'GET /accounts': 'read',
  'POST /accounts/:id/books': 'read',
  'POST /accounts/:id/archive': 'read',
  'POST /accounts/:id/grants': 'money',
  'PATCH /accounts/:id/limits': 'accounts',
  'POST /accounts/:id/suspend': 'accounts',
  'POST /accounts/:id/resume': 'accounts',
  'POST /people/end-sessions': 'accounts',
  'POST /people/reset-second-factor': 'accounts',
  'GET /audit': 'read',
  'GET /prices': 'read',
  'POST /prices': 'prices',
  'POST /prices/:id/end': 'prices',
  'GET /reference-prices': 'read',
  'POST /reference-prices': 'prices',
  'POST /reference-prices/:id/end': 'prices',
  'GET /models': 'read',
  'GET /models/:id': 'read',
  'POST /models': 'models',
  'PATCH /models/:id': 'models',
  'DELETE /models/:id': 'models',
  'POST /models/:id/end': 'prices',
  'POST /models/:id/end/withdraw': 'prices',
  'GET /promo-codes': 'read',
  'POST /promo-codes': 'money',
  'GET /reconciliation': 'read',
  'POST /reconciliation/close': 'money',
  'GET /secrets': 'read',
  'POST /secrets/carry-over': 'secrets',
  'GET /tokens': 'read',
  'POST /tokens': 'deploy-token',
  'POST /tokens/:id/revoke': 'deploy-token',
};

/** @param pattern the route's pattern below /operator/api; what its parameters match is left out */
export function neededScope(method: string, pattern: string): NeededScope | null {
  const verb = method === 'HEAD' ? 'GET' : method;
  const path = pattern.replaceAll(/\{(?:[^{}]|\{[^}]*\})*\}/g, '').replace(/(.)\/$/, '$1');
  return SCOPES[`${verb} ${path}`] ?? null;
}
