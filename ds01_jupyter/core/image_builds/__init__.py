"""The builds of an image: what each brought, going back to one, and what is out of date."""
