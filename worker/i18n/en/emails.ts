/** The letters to a person, in English. */
export const emailsEn = {
  verify: {
    title: 'Confirm your e-mail address',
    text: 'Open the link to show that this address is yours. It works for 24 hours.',
    link: 'Confirm the address',
    small:
      'You get this letter because somebody used this address at Tollgate. If it was not you, ignore it.',
  },
  signIn: {
    title: 'Your link to sign in',
    text: 'Open the link in the browser in which you want to be signed in. It works once, for 15 minutes.',
    unverified:
      'This address has not been confirmed yet. The link confirms it, and takes away a password that was set before: set a new one under Settings.',
    link: 'Sign in',
    small: 'If you did not ask for it, ignore this letter: without the link nobody gets in.',
  },
  reset: {
    title: 'Set a new password',
    text: 'Open the link to set a new password. It works once, for an hour, and ends all your sessions.',
    link: 'Set a new password',
    small: 'If you did not ask for it, ignore this letter: your password stays as it is.',
  },
  invitation: {
    title: 'You are invited to a team',
    text: (by: string, account: string, role: string) =>
      `${by} invites you to the account “${account}” at Tollgate, as ${role}. The invitation holds for seven days.`,
    link: 'See the invitation',
    small: 'If you do not know who that is, ignore this letter: nothing happens without you.',
  },
  signInChanged: {
    title: 'How you sign in has changed',
    what: {
      password: 'Your password was changed, and your other sessions have ended.',
      second_factor_on: 'A second factor is now asked for when you sign in.',
      second_factor_off: 'The second factor is no longer asked for when you sign in.',
    },
    link: 'Look at your sessions',
    small: 'If it was not you, set a new password at once and end all sessions.',
  },
  receipt: {
    title: (amount: string) => `Receipt: ${amount}`,
    text: (amount: string, invoice: string) =>
      `Your top-up of ${amount} has been credited. Invoice ${invoice} can be opened as PDF.`,
    link: 'Open the invoice',
    small: 'You get receipts because you pay for this account or own it.',
  },
};
