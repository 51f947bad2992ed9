/** The API's reference: Scalar over /openapi.json, from our own origin. The one page of script; the rest does without. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { PortalEnv } from '../frame/context.ts';

/** No request leaves for another origin: no fonts, no telemetry, no chat with anybody. */
const CONFIGURATION = {
  url: '/openapi.json',
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  hideModels: true,
  authentication: { preferredSecurityScheme: 'bearer' },
  showDeveloperTools: 'never',
  documentDownloadType: 'json',
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  metaData: { title: 'API · Tollgate' },
};

export const docsPage = new Hono<PortalEnv>();

docsPage.get('/', (c) =>
  c.html(
    html`<!doctype html>${(
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <title>API · Tollgate</title>
        </head>
        <body>
          <noscript>
            <p>
              This page needs script. The description itself is at <a href="/openapi.json">/openapi.json</a>.
            </p>
          </noscript>
          <script id="api-reference" data-configuration={JSON.stringify(CONFIGURATION)}></script>
          <script src="/scalar.js"></script>
        </body>
      </html>
    )}`,
  ),
);
