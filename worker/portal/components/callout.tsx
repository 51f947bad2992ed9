/** A highlighted message at the top of a page; screen readers announce it. */
import type { Child } from 'hono/jsx';

const TONES = {
  info: 'alert alert-soft alert-info',
  success: 'alert alert-soft alert-success',
  warning: 'alert alert-soft alert-warning',
  error: 'alert alert-soft alert-error',
} as const;

export function Callout({ tone, children }: { tone: keyof typeof TONES; children?: Child }) {
  return (
    <div role={tone === 'error' ? 'alert' : 'status'} class={`${TONES[tone]} mb-6 text-sm`}>
      <div>{children}</div>
    </div>
  );
}
