/** GET /openapi.json: the public API, described by the schemas that read its requests. */
import * as z from 'zod';
import { createDocument, type ZodOpenApiPathsObject } from 'zod-openapi';
import { exampleModelId } from '../../domain/example-model.ts';
import { config } from '../../env.ts';
import { catalogue } from '../../gateway/model-cache.ts';
import type { ApiContext } from '../../http/response-headers.ts';
import { acceptedBody } from './accepted-body.ts';
import { accountPaths } from './account-paths.ts';
import { batchPaths } from './batch-paths.ts';
import { countPaths } from './count-paths.ts';
import { inferencePaths } from './inference-paths.ts';
import { keyPaths } from './key-paths.ts';
import { modelPaths } from './model-paths.ts';
import { operation } from './operation.ts';
import { responsePaths } from './response-paths.ts';
import { TAGS } from './shared.ts';

const healthPaths: ZodOpenApiPathsObject = {
  '/healthz': {
    get: operation({
      tag: TAGS.service,
      summary: 'Check that the edge responds',
      response: z.object({ ok: z.literal(true) }),
      errors: [],
      security: null,
    }),
  },
};

/**
 * @param origin of this edge, without a trailing slash
 * @param modelId that examples ask for
 */
export function openApiDocument(origin: string, modelId: string) {
  const inference = inferencePaths(origin, modelId);
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Tollgate',
      version: '1',
      description:
        'Open-weight reasoning models behind the APIs of OpenAI, DeepSeek and Anthropic: change the base URL of your client. Error messages say what to do next, and every charge can be recomputed from `GET /v1/generations/{id}`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: origin }],
    tags: Object.values(TAGS).map((name) => ({ name })),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`sk-tg-…`, or a short-lived token' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
    paths: {
      ...inference,
      ...countPaths,
      ...responsePaths,
      ...modelPaths(modelId),
      ...accountPaths,
      ...keyPaths(modelId),
      ...batchPaths,
      ...healthPaths,
    },
  });
  for (const path of Object.keys(inference)) {
    const body = document.paths?.[path]?.post?.requestBody as { content: Record<string, { schema: object }> };
    const json = body.content['application/json']!;
    json.schema = acceptedBody(json.schema as Record<string, unknown>);
  }
  return document;
}

/** The last document as JSON text: an isolate normally serves one origin, and the model of the examples seldom changes. */
let made = { origin: '', modelId: '', text: '' };

export async function getOpenApi(c: ApiContext): Promise<Response> {
  const { publicOrigin: origin } = config(c.env);
  const nowMs = Date.now();
  const modelId = exampleModelId(await catalogue(c.env, nowMs), nowMs);
  if (made.origin !== origin || made.modelId !== modelId)
    made = { origin, modelId, text: JSON.stringify(openApiDocument(origin, modelId)) };
  const { text } = made;
  return c.body(text, 200, {
    'content-type': 'application/json; charset=utf-8',
    'access-control-allow-origin': '*',
    'cache-control': 'public, max-age=300',
  });
}
