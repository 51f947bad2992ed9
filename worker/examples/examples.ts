/** All examples, in the order of their tabs. A test runs each of them exactly as it is shown. */
import { aiSdk } from './ai-sdk.ts';
import { anthropic } from './anthropic.ts';
import { cline } from './cline.ts';
import { curl } from './curl.ts';
import type { Example, ExampleRequest } from './example.ts';
import { langchain } from './langchain.ts';
import { node } from './node.ts';
import { opencode } from './opencode.ts';
import { python } from './python.ts';

export function examples(request: ExampleRequest): readonly Example[] {
  return [curl, python, node, langchain, aiSdk, anthropic, opencode, cline].map((example) =>
    example(request),
  );
}
