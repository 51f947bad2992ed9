/** The API reference: Scalar renders /openapi.json, with its script served from our own origin. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { PortalEnv } from '../frame/context.ts';

/** Turns off everything of Scalar that would send requests to another origin: fonts, telemetry, its chat. */
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
              This page needs JavaScript. The OpenAPI document is at <a href="/openapi.json">/openapi.json</a>
              .
            </p>
          </noscript>
          <script id="api-reference" data-configuration={JSON.stringify(CONFIGURATION)}></script>
          <script src="/scalar.js"></script>
        </body>
      </html>
    )}`,
  ),
);
