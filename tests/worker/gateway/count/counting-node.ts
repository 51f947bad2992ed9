/** A fake node that also counts the tokens of prompts. */
import { COUNT_PATH, GenerateRequest } from '../../../../gpu-pool/protocol/schemas.ts';
import type { FakeNode } from '../../fake-node.ts';

export interface CountingNode extends FakeNode {
  /** The requests whose tokens it was asked to count, in order. */
  readonly counted: GenerateRequest[];
  /** Answers a count. */
  count: () => Response;
}

export function counting(node: FakeNode): CountingNode {
  const serve = node.serve.bind(node);
  const added: Pick<CountingNode, 'counted' | 'count' | 'serve'> = {
    counted: [],
    count: () => Response.json({ prompt_tokens: 10 }),
    async serve(this: CountingNode, url, init) {
      if (url.pathname !== COUNT_PATH) return serve(url, init);
      this.counted.push(GenerateRequest.strict().parse(JSON.parse(String(init.body))));
      return this.count();
    },
  };
  return Object.assign(node, added) as CountingNode;
}
