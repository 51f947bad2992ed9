/** Signing in with GitHub, in English: the button, and the pages for a sign-in that failed. */
export const githubEn = {
  or: 'or',
  submit: 'Continue with GitHub',
  refused: {
    denied: {
      title: 'GitHub sign-in cancelled',
      text: 'Nothing was changed. You can try again or sign in by e-mail.',
      link: 'Back to sign-in',
    },
    over: {
      title: 'This sign-in has expired',
      text: 'It was already used, took more than five minutes, or was started in another browser. Start again and stay in the same browser.',
      link: 'Start again',
    },
    no_email: {
      title: 'No confirmed e-mail address on GitHub',
      text: 'We need an e-mail address that is confirmed to be yours. Confirm one on GitHub under Settings > Emails and try again, or create an account with an e-mail address and a password.',
      link: 'Create an account',
    },
    not_linked: {
      title: 'This address is in use but not confirmed',
      text: 'An account here uses the address of your GitHub account but has not confirmed it. Sign in by e-mail: the link we send confirms the address and removes any password set before. After that, you can sign in with GitHub.',
      link: 'Sign in by e-mail',
    },
    failed: {
      title: 'GitHub did not respond as expected',
      text: 'Nothing was changed. Try again in a minute or sign in by e-mail.',
      link: 'Back to sign-in',
    },
  },
};
