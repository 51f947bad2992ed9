/** The pool page's words for canaries in French. */
import type { canaryEn } from '../en/canary.ts';

export const canaryFr: typeof canaryEn = {
  waiting:
    'Aucun client n’y est envoyé avant qu’un canari soit passé. Le premier essai suit son prochain battement.',
  held: 'Retenu : il finit ce qui est en cours et ne prend rien de nouveau. Une fois rétabli, un canari l’essaie d’abord.',
  asking: (at) => `Canari du ${at} UTC : en cours.`,
  receiptAwaited: (at) => `Canari du ${at} UTC : réponse reçue ; le reçu du nœud est attendu.`,
  passed: (at) => `Canari passé le ${at} UTC.`,
  failed: (at, fault) => `Échec du canari du ${at} UTC : ${fault}`,
  triedAgain: 'Un nouvel essai suit de lui-même, après une attente qui croît à chaque échec.',
  counts: (prompt, cached, completion, reasoning) =>
    `Entrée : ${prompt} jetons, dont ${cached} en cache ; réponse : ${completion}, dont ${reasoning} de raisonnement.`,
  faults: {
    unreachable:
      'rien ne répond à son adresse. Vérifiez que l’agent tourne et que son URL, son tunnel et son certificat sont justes.',
    not_an_agent:
      'ce qui répond à son adresse n’est pas l’agent : une redirection, ou une page de ce qui est devant lui. Le tunnel ou le proxy doit tout laisser passer.',
    refused_unauthorized:
      'l’agent ne reconnaît pas le jeton du point d’accès. Vérifiez l’horloge du nœud, et qu’il lit les clés de ce point d’accès.',
    refused_bad_request: 'l’agent ou le moteur ne comprend pas la requête. Mettez les deux à jour.',
    refused_overloaded:
      'il ne prend pas de requête : il est plein, en vidange, ou ne peut pas écrire son journal.',
    refused_engine_failed: 'son moteur a échoué. Regardez le journal de SGLang.',
    refused_engine_timeout: 'son moteur n’a envoyé aucun jeton dans le délai. Regardez le journal de SGLang.',
    first_token_late:
      'aucun jeton en 30 secondes. Attendez que le moteur soit chaud ; si cela persiste, regardez le journal de SGLang.',
    broken_off:
      'la réponse s’est interrompue avant la fin. Regardez le journal de l’agent, et ce qui, sur le chemin, retient ou coupe les flux.',
    prompt_tokens:
      'il a compté plus ou moins de jetons d’entrée que le texte n’en peut avoir. Vérifiez le modèle de conversation.',
    prompt_differs: 'il a compté le même texte de deux façons. Est-ce bien un seul moteur qui répond ?',
    nothing_cached:
      'le même texte, demandé deux fois, n’a pas été trouvé dans le cache de préfixes. Lancez SGLang avec --enable-cache-report et laissez le cache radix actif.',
    no_reasoning: 'aucun raisonnement n’est venu. Lancez SGLang avec --reasoning-parser deepseek-r1.',
    completion_tokens:
      'il a compté plus de jetons que demandé, ou aucun. Vérifiez les versions de SGLang et de l’agent.',
    receipt_differs:
      'son reçu ne dit pas les mêmes comptes que sa réponse. Ne lui faites pas confiance avant d’en savoir la cause ; mettez l’agent à jour.',
    receipt_missing: 'son reçu n’est pas venu. Cherchez des erreurs de battement dans le journal de l’agent.',
    interrupted: 'il a été interrompu de notre côté.',
    engine_changed: 'le moteur a été changé entre-temps.',
    withdrawn: 'vous avez changé l’état du nœud entre-temps.',
  },
};
