// The page at `/`: Swagger UI on the left, the panel that follows a job on the right, one API token for both.

import { FollowPanel } from "./follow.js";

const SECURITY = "apiToken";

const panel = new FollowPanel(document, (token) => {
  if (token) ui.preauthorizeApiKey(SECURITY, token);
  else ui.authActions.logout([SECURITY]);
});

// Swagger UI's own dialog tells the panel. Its actions are wrapped, for it has no event to listen to.
const sharesToken = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (original) => (payload) => {
          panel.token = payload[SECURITY]?.value ?? "";
          return original(payload);
        },
        logout: (original) => (names) => {
          panel.token = "";
          return original(names);
        },
      },
    },
  },
});

/** Offers to follow the job that a POST has just begun. */
function offer(response) {
  const job = response.body ?? response.obj;
  if (response.status === 200 && job?.jobid && job.status === "started" && isSubmission(response.url)) {
    panel.offer(job.jobid);
  }
  return response;
}

function isSubmission(url) {
  return /\/v1\/pika\/[a-z_]+\/?$/.test(new URL(url, document.baseURI).pathname);
}

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [sharesToken],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  persistAuthorization: false,
  validatorUrl: null,
  responseInterceptor: offer,
});
