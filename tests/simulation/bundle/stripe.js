/** Replaces Stripe's SDK, which takes longer to load than everything else together. No simulated customer uses Stripe. */
export default class Stripe {
  constructor() {
    throw new Error('Stripe is not simulated');
  }
}
