/** Se connecter avec GitHub, en français : le bouton, et que faire quand cela finit mal. */
import type { githubEn } from '../en/github.ts';

export const githubFr: typeof githubEn = {
  or: 'ou',
  submit: 'Continuer avec GitHub',
  refused: {
    denied: {
      title: 'Vous avez refusé chez GitHub',
      text: 'Rien n’a été changé. Vous pouvez réessayer, ou vous connecter par e-mail.',
      link: 'Retour à la connexion',
    },
    over: {
      title: 'Cette connexion a pris fin',
      text: 'Elle a déjà servi, a duré plus de cinq minutes, ou a été commencée dans un autre navigateur. Recommencez, et restez dans un seul navigateur.',
      link: 'Recommencer',
    },
    no_email: {
      title: 'GitHub n’a confirmé aucune adresse à vous',
      text: 'Nous vous écrivons par e-mail : il nous faut une adresse qui soit sûrement la vôtre. Confirmez-en une chez GitHub, sous Settings, Emails, et réessayez ; ou créez un compte avec une adresse et un mot de passe.',
      link: 'Créer un compte',
    },
    not_linked: {
      title: 'Votre adresse est prise, mais pas confirmée',
      text: 'Quelqu’un a ici un compte avec l’adresse que vous avez chez GitHub, et n’a pas montré qu’elle est à lui. Connectez-vous par e-mail : le lien que nous y envoyons confirme l’adresse et retire tout mot de passe choisi auparavant. Ensuite, GitHub vous laisse entrer aussi.',
      link: 'Se connecter par e-mail',
    },
    failed: {
      title: 'GitHub n’a pas répondu comme il faut',
      text: 'Rien n’a été changé. Réessayez dans une minute, ou connectez-vous par e-mail.',
      link: 'Retour à la connexion',
    },
  },
};
