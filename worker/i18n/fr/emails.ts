/** Les lettres à une personne, en français. */
import type { Messages } from '../en/index.ts';

export const emailsFr: Messages['emails'] = {
  verify: {
    title: 'Confirmez votre adresse e-mail',
    text: 'Ouvrez le lien pour montrer que cette adresse est la vôtre. Il est valable 24 heures.',
    link: 'Confirmer l’adresse',
    small:
      'Vous recevez cette lettre parce que quelqu’un a utilisé cette adresse chez Tollgate. Si ce n’était pas vous, ignorez-la.',
  },
  signIn: {
    title: 'Votre lien de connexion',
    text: 'Ouvrez le lien dans le navigateur où vous voulez être connecté. Il sert une seule fois, pendant 15 minutes.',
    unverified:
      'Cette adresse n’est pas encore confirmée. Le lien la confirme, et supprime un mot de passe choisi auparavant : choisissez-en un nouveau dans les Réglages.',
    link: 'Se connecter',
    small: 'Si vous ne l’avez pas demandé, ignorez cette lettre : sans le lien, personne n’entre.',
  },
  reset: {
    title: 'Choisissez un nouveau mot de passe',
    text: 'Ouvrez le lien pour choisir un nouveau mot de passe. Il sert une seule fois, pendant une heure, et met fin à toutes vos sessions.',
    link: 'Choisir un mot de passe',
    small: 'Si vous ne l’avez pas demandé, ignorez cette lettre : votre mot de passe reste le même.',
  },
  invitation: {
    title: 'Vous êtes invité dans une équipe',
    text: (by, account, role) =>
      `${by} vous invite dans le compte « ${account} » chez Tollgate, avec le rôle ${role}. L’invitation est valable sept jours.`,
    link: 'Voir l’invitation',
    small: 'Si vous ne savez pas de qui il s’agit, ignorez cette lettre : rien ne se fait sans vous.',
  },
  signInChanged: {
    title: 'Votre manière de vous connecter a changé',
    what: {
      password: 'Votre mot de passe a été changé, et vos autres sessions ont pris fin.',
      second_factor_on: 'Un second facteur est désormais demandé à la connexion.',
      second_factor_off: 'Le second facteur n’est plus demandé à la connexion.',
    },
    link: 'Voir vos sessions',
    small:
      'Si ce n’était pas vous, choisissez tout de suite un nouveau mot de passe et fermez toutes les sessions.',
  },
  receipt: {
    title: (amount) => `Reçu : ${amount}`,
    text: (amount, invoice) =>
      `Votre recharge de ${amount} a été créditée. La facture ${invoice} est disponible en PDF.`,
    link: 'Ouvrir la facture',
    small: 'Vous recevez les reçus parce que vous payez pour ce compte ou le possédez.',
  },
};
