/** Signing in with GitHub, in English: the button, and what to do when it does not end well. */
export const githubEn = {
  or: 'or',
  submit: 'Continue with GitHub',
  refused: {
    denied: {
      title: 'You said no at GitHub',
      text: 'Nothing has been changed. You can try again, or sign in by e-mail.',
      link: 'Back to sign-in',
    },
    over: {
      title: 'This sign-in has ended',
      text: 'It was used already, took more than five minutes, or was begun in another browser. Begin again, and stay in one browser.',
      link: 'Begin again',
    },
    no_email: {
      title: 'GitHub has confirmed no address of yours',
      text: 'We write to you by e-mail, so we need one that is surely yours. Confirm an address at GitHub, under Settings, Emails, and try again; or create an account with an address and a password.',
      link: 'Create an account',
    },
    not_linked: {
      title: 'Your address is taken, but not confirmed',
      text: 'Somebody has an account here with the address that you have at GitHub, and has not shown it to be theirs. Sign in by e-mail: the link that we send there confirms the address and removes any password set before. After that GitHub lets you in, too.',
      link: 'Sign in by e-mail',
    },
    failed: {
      title: 'GitHub did not answer as it should',
      text: 'Nothing has been changed. Try again in a minute, or sign in by e-mail.',
      link: 'Back to sign-in',
    },
  },
};
