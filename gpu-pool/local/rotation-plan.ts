/** The steps of a secret's rotation, with their commands, and a fitting new value of each secret. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';

interface Rotation {
  /** A new value; null: it comes from elsewhere. */
  readonly newValue: (() => string) | null;
  /** Where the value comes from, if it is not made here. */
  readonly from?: string;
  /** The condition for using the new one. */
  readonly beforeUse: string;
  /** The work and the wait before the old one is removed. */
  readonly beforeRemoval: string;
  /** Whether `--carry-over` has something to do. */
  readonly carriesOver: boolean;
}

const hex = () => randomBytes(32).toString('hex');
const EVERYWHERE = 'Wait a minute, so that every isolate accepts it.';

/** Keys are the names of ROTATING in worker/lib/rotation.ts. */
export const ROTATIONS = {
  AUTH_SECRET: {
    newValue: hex,
    beforeUse: EVERYWHERE,
    beforeRemoval:
      'Wait until `--check` says that nothing is left, and 14 days from step 2: a session that is used meanwhile is signed anew, one that is not ends with the old secret, as it would by its age. Links in e-mails last for a day.',
    carriesOver: true,
  },
  KEY_PEPPER: {
    newValue: hex,
    beforeUse: `${EVERYWHERE} At step 2 each account's prefix cache begins anew and rate counters start again: choose a quiet hour.`,
    beforeRemoval:
      'An API key moves to the new pepper when it is used. `--check` says how many have not been used yet: they are refused once the old pepper is gone, so wait until there are none, or their owners have been told; a day at least, for which idempotent answers are kept.',
    carriesOver: true,
  },
  EDGE_SIGNING_KEY: {
    newValue: () => JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })),
    beforeUse:
      'Wait until `--check` says that no node is left: agents read the new key within seconds, and refuse what a key has signed that they do not hold. An older agent does not say what it holds: give it ten minutes, after which it reads the keys by itself.',
    beforeRemoval: 'Wait a day from step 2: so long a join token is valid. Client tokens are over before.',
    carriesOver: false,
  },
  OPERATOR_TOKEN: {
    newValue: hex,
    beforeUse: EVERYWHERE,
    beforeRemoval:
      'Give the new token to every script that uses the old one. The audit trail calls both `operator-token`; scripts are better off with tokens of their own, which you make at /operator/tokens.',
    carriesOver: false,
  },
  SANDBOX_WEBHOOK_SECRET: {
    newValue: hex,
    beforeUse: EVERYWHERE,
    beforeRemoval: 'Wait five minutes: so old an event may be.',
    carriesOver: false,
  },
  STRIPE_WEBHOOK_SECRET: {
    newValue: null,
    from: 'In Stripe, open the webhook endpoint, choose “Roll secret” with an overlap of 24 hours, and put the new secret',
    beforeUse: `${EVERYWHERE} Do it soon after the roll: until then Stripe's events are verified by the old signature alone.`,
    beforeRemoval: 'Wait until the overlap that you chose in Stripe is over.',
    carriesOver: false,
  },
} as const satisfies Record<string, Rotation>;

export type RotationName = keyof typeof ROTATIONS;

/** @param file the file that holds the new value @returns the text of all steps */
export function rotationPlan(name: RotationName, file: string): string {
  const rotation: Rotation = ROTATIONS[name];
  const check = `npm run rotate -- ${name} --check --edge $ORIGIN`;
  const carry = rotation.carriesOver ? `\n     npm run rotate -- ${name} --carry-over --edge $ORIGIN` : '';
  const value =
    rotation.newValue === null
      ? `${rotation.from} into ${file}.`
      : `The new value is in ${file}; nobody else can read it.`;
  return `${value}
$ORIGIN is your edge's origin; OPERATOR_TOKEN is read from the environment. Requests go on at every step.

  1. Let the edge accept the new one:
     npx wrangler secret put ${name}_NEXT < ${file}
     ${rotation.beforeUse}
     ${check}

  2. Use the new one; the old one is accepted still:
     echo ${name} | npx wrangler secret put USE_NEXT${carry}
     ${check}
     ${rotation.beforeRemoval}

  3. Remove the old one, in this order:
     npx wrangler secret put ${name} < ${file}
     npx wrangler secret delete USE_NEXT
     npx wrangler secret delete ${name}_NEXT
     Put the value into your password manager and delete ${file}.

  Back: until step 3, \`npx wrangler secret delete USE_NEXT\` puts the old one into use again; the new one is accepted still.
  Leaked: if the old one is known to others, put the new one in its place at once (the first command of step 3 alone).
  That refuses what step 2 would have carried over: see docs/deploy.md.
`;
}
