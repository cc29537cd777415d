import { type Html, html } from '../../batch/report/html.js';
import type { Credential } from '../../settings.js';

interface LoginPage {
  readonly base: string;
  readonly scheme: Credential['scheme'];
  /** Where to go afterwards. */
  readonly to: string;
  /** What was wrong with the last attempt. */
  readonly error?: string;
}

/** The form, without any script. */
export function loginPage({ base, scheme, to, error }: LoginPage): string {
  const fields =
    scheme === 'basic'
      ? [
          field('user', 'User', 'text', 'username', true),
          field('password', 'Password', 'password', 'current-password'),
        ]
      : field('token', 'Token', 'password', 'current-password', true);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in – VisionZip</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${base}/login.css">
</head>
<body>
<main>
<h1>VisionZip</h1>
${error && html`<p role="alert">${error}</p>`}
<form method="post" action="${base}/login">
<input type="hidden" name="to" value="${to}">
${fields}<button>Log in</button>
</form>
</main>
</body>
</html>
`.text;
}

function field(name: string, label: string, type: string, autocomplete: string, isFirst = false): Html {
  const focus = isFirst ? html` autofocus` : null;
  return html`<label>${label}<input name="${name}" type="${type}" autocomplete="${autocomplete}" required${focus}></label>\n`;
}

export const loginStyle = `:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
html { background: light-dark(#f5f6f8, #0e1116); color: light-dark(#12161d, #e7eaf0); }
body { display: grid; min-height: 100vh; margin: 0; place-items: center; }
main { width: min(20rem, 90vw); }
label, input, button { display: block; box-sizing: border-box; width: 100%; font: inherit; }
label { margin-bottom: 1rem; }
input { margin-top: 0.25rem; padding: 0.5rem; }
button { padding: 0.5rem; }
[role='alert'] { color: light-dark(#a40000, #ff9a9a); }
`;
