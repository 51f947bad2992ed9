/** Signing in with GitHub, in French: the button, and the pages for a sign-in that failed. */
import type { githubEn } from '../en/github.ts';

export const githubFr: typeof githubEn = {
  or: 'ou',
  submit: 'Continuer avec GitHub',
  refused: {
    denied: {
      title: 'Connexion avec GitHub annulée',
      text: 'Rien n’a été modifié. Vous pouvez réessayer ou vous connecter par e-mail.',
      link: 'Retour à la connexion',
    },
    over: {
      title: 'Cette connexion a expiré',
      text: 'Elle a déjà servi, a duré plus de cinq minutes ou a été commencée dans un autre navigateur. Recommencez en restant dans le même navigateur.',
      link: 'Recommencer',
    },
    no_email: {
      title: 'Aucune adresse e-mail confirmée sur GitHub',
      text: 'Il nous faut une adresse e-mail confirmée comme étant la vôtre. Confirmez-en une sur GitHub, sous Settings > Emails, et réessayez, ou créez un compte avec une adresse e-mail et un mot de passe.',
      link: 'Créer un compte',
    },
    not_linked: {
      title: 'Cette adresse est utilisée mais pas confirmée',
      text: 'Un compte utilise ici l’adresse de votre compte GitHub sans l’avoir confirmée. Connectez-vous par e-mail : le lien que nous envoyons confirme l’adresse et supprime tout mot de passe choisi auparavant. Vous pourrez ensuite vous connecter avec GitHub.',
      link: 'Se connecter par e-mail',
    },
    failed: {
      title: 'Réponse inattendue de GitHub',
      text: 'Rien n’a été modifié. Réessayez dans une minute ou connectez-vous par e-mail.',
      link: 'Retour à la connexion',
    },
  },
};
