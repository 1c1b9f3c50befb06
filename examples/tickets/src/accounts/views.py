"""The API of users and tokens."""

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Token
from config.http import BadRequestError, body, error, invalid


class UserForm(forms.ModelForm):
    """A new user."""

    class Meta:
        model = User
        fields = ("username",)

    password = forms.CharField(min_length=10, max_length=200, validators=[validate_password])

    def save(self, commit: bool = True) -> User:
        """Store the password's hash."""
        self.instance.set_password(self.cleaned_data["password"])
        return super().save(commit)


@require_POST
def users(request: HttpRequest) -> JsonResponse:
    """Create a user from `username` and `password`."""
    try:
        form = UserForm(body(request))
    except BadRequestError as problem:
        return error(400, str(problem))
    if not form.is_valid():
        return invalid(form)
    user = form.save()
    return JsonResponse({"id": user.pk, "username": user.username}, status=201)


@require_http_methods(["POST", "DELETE"])
def tokens(request: HttpRequest) -> JsonResponse:
    """Log in (POST `username` and `password`) or out (DELETE with the token)."""
    if request.method == "DELETE":
        token = _token(request)
        if token is None:
            return error(401, "the token is not valid")
        token.delete()
        return JsonResponse({})
    try:
        fields = body(request)
    except BadRequestError as problem:
        return error(400, str(problem))
    user = authenticate(username=str(fields.get("username", "")), password=str(fields.get("password", "")))
    if not isinstance(user, User):
        return error(401, "wrong username or password")
    return JsonResponse({"token": Token.issue(user)}, status=201)


@require_GET
def me(request: HttpRequest) -> JsonResponse:
    """Say whose token it is."""
    token = _token(request)
    if token is None:
        return error(401, "the token is not valid")
    return JsonResponse({"id": token.user.pk, "username": token.user.username})


def _token(request: HttpRequest) -> Token | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return None
    return Token.objects.select_related("user").filter(digest=Token.hashed(value), user__is_active=True).first()
