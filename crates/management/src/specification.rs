//! The OpenAPI document, made from the handlers and the types of their JSON.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
    ServerBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::problem::{Errors, REFUSALS};

/// What the document says before the operations.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Holdfast management API")
        .description(Some(
            "Users, groups, projects, robots, tokens and the audit of a Holdfast registry. Every node answers alike. Every \
             operation may be repeated: what is so already is not made so again, or is refused with 409 and changes nothing. \
             Times are RFC 3339. Errors have the form of the OCI distribution specification.",
        ))
        .version("1");
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url("/api/v1").build()]))
        .security(Some([
            SecurityRequirement::new("basic", [] as [&str; 0]),
            SecurityRequirement::new("session", [] as [&str; 0]),
        ]))
        .build()
}

/// The document with the ways to say who asks, and with what any operation may be refused with.
pub(crate) fn finished(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    let what = "A user and their password or personal access token, or a robot and its secret.";
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic);
    let basic = basic.description(Some(what)).build();
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    let what = "What `POST /sessions` gave; by TLS its name begins with `__Host-`.";
    let session = ApiKeyValue::with_description("holdfast-session", what);
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    let mut schemas = vec![(Errors::name().into_owned(), Errors::schema())];
    Errors::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (_, name, what) in REFUSALS {
        let errors = Ref::from_schema_name(Errors::name());
        let content = ContentBuilder::new().schema(Some(errors)).build();
        let response = ResponseBuilder::new().description(what);
        let response = response.content("application/json", content).build();
        components
            .responses
            .insert(name.to_owned(), response.into());
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for (status, name, _) in REFUSALS {
            let refusal = RefOr::Ref(Ref::from_response_name(name));
            let responses = &mut operation.responses.responses;
            responses.insert(status.to_owned(), refusal);
        }
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// The OpenAPI document of the API.
#[must_use]
pub fn document() -> OpenApi {
    finished(crate::routes().into_openapi())
}
