import { Webhook } from 'standardwebhooks';

/** The event of a webhook. @throws if it was not signed with the secret: answer 400 */
export async function webhookEvent(request: Request, secret: string) {
  const headers = Object.fromEntries(request.headers);
  return new Webhook(secret).verify(await request.text(), headers);
}
