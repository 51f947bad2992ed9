/** E-mails to a person, in English. */
export const emailsEn = {
  verify: {
    title: 'Confirm your e-mail address',
    text: 'Open the link to confirm that this address is yours. It is valid for 24 hours.',
    link: 'Confirm address',
    small:
      'You receive this e-mail because this address was used on Tollgate. If that was not you, ignore it.',
  },
  signIn: {
    title: 'Your sign-in link',
    text: 'Open the link in the browser where you want to sign in. It works once and expires after 10 minutes.',
    unverified:
      'This address has not been confirmed yet. The link confirms it and removes any password set before; you can set a new one under Settings.',
    link: 'Sign in',
    small: 'If you did not request this link, ignore this e-mail. Nobody can sign in without it.',
  },
  reset: {
    title: 'Set a new password',
    text: 'Open the link to set a new password. It works once, expires after one hour, and ends all your sessions.',
    link: 'Set new password',
    small: 'If you did not request this, ignore this e-mail. Your password stays the same.',
  },
  invitation: {
    title: 'You are invited to join a team',
    /** @param account empty: nothing of its name can be shown in an e-mail */
    text: (account: string, role: string) =>
      `You are invited to join ${account === '' ? 'an account' : `the account “${account}”`} on Tollgate. Your role: ${role}. Open the invitation to see who sent it; it is valid for seven days.`,
    link: 'View invitation',
    small: 'If you do not know the sender, ignore this e-mail. You are not added unless you accept.',
  },
  signInChanged: {
    title: 'Your sign-in settings have changed',
    what: {
      password: 'Your password was changed, and your other sessions were ended.',
      second_factor_on: 'Two-factor authentication is now on.',
      second_factor_off: 'Two-factor authentication is now off.',
      backup_codes: 'New recovery codes were made. The old ones no longer work.',
      second_factor_reset:
        'The operator turned two-factor authentication off because its loss was reported, and ended all your sessions. Sign in with your password and set it up again.',
    },
    link: 'Review your sessions',
    small: 'If this was not you, set a new password now and end all sessions.',
  },
  receipt: {
    title: (amount: string) => `Receipt: ${amount}`,
    text: (amount: string, invoice: string) =>
      `Your top-up of ${amount} has been credited. Invoice ${invoice} is available as a PDF.`,
    link: 'Open invoice',
    small: 'You receive receipts because you are an owner or billing member of this account.',
  },
};
